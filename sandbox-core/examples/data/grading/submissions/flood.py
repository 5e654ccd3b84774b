while True:
    print("the 1000000")
