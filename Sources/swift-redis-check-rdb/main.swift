print("swift-redis-check-rdb")
