print("swift-redis-check-aof")
