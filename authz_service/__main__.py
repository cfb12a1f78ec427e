"""`python -m authz_service` is `authz-service`."""

from authz_service.cli.main import main

if __name__ == "__main__":
    main()
