"""Generated stubs of the contract; regenerate with tools/gen_protos.py."""
