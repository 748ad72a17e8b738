"""Run mailveil as ``python -m mailveil``."""

from mailveil.cli import main

if __name__ == "__main__":
    main()
