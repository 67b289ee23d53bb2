from gateway.demo_upstream.server import main

main()
