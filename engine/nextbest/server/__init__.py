"""Server: gRPC services that translate between the contract and the engine."""
