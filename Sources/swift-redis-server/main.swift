print("swift-redis-server")
