"""What the runner relies on of Nuclei, as cases that run against the stand-in and, with NUCLEI_BIN, a real one.

Every case is a promise that the stand-in keeps because Nuclei was seen to behave so. A case that fails with a new
release of Nuclei says what the runner has to learn; a case that only the stand-in fails says that it lies.
"""
