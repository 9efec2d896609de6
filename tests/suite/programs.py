"""Build the programs of others that lanes run, so that no test has to."""

from tests.chart import programs
from tests.cluster.local import binaries
from tests.fixtures import s3

if __name__ == "__main__":
    binaries.folders((*binaries.MODULES, *binaries.ADDED, binaries.REGISTRY))
    programs.folders()
    s3.program()
