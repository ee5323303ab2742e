"""`python -m chiasm`; a launcher starts several of it: `torchrun --nproc-per-node 2 -m chiasm train ...`."""

from chiasm.surfaces.cli import main

if __name__ == "__main__":
    main()
