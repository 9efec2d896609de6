# The vulnerable web application, for tests and the demo only.
FROM scratch
COPY --chmod=755 webapp /webapp
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/webapp"]
