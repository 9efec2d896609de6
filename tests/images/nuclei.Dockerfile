# Stands in for Nuclei's official image, of which the scanner image takes this one file.
FROM scratch
COPY --chmod=755 nuclei /usr/local/bin/nuclei
