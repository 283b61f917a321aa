"""What runs in Lambda, and nothing else: serialize, classify, filter, and the pure parts they are made of."""
