"""The contract over HTTP: what data planes outside this process are told, decided and paid for (docs/gateway-contract.md)."""
