# The image of authz-service: docs/image.md says how to build and run it, and what it weighs.
#
# `docker build`, `podman build` and `buildah build` take it alike: nothing here needs BuildKit.

# Debian and not Alpine: the library that evaluates `when` has wheels for glibc alone. A digest after
# the tag (`@sha256:…`) pins it to the byte.
ARG BASE=python:3.13.14-slim-trixie
# What the service runs on: BASE, or anything with the same Python at the same path, such as an image
# without a shell.
ARG RUNTIME=${BASE}

FROM ${BASE} AS build

# `image` has what the service needs, and the OpenTelemetry SDK for traces; `run` does without that.
ARG REQUIREMENTS=image
# Where packages come from, if not from PyPI; their hashes are those of the lock all the same.
ARG PIP_INDEX_URL

# What bytecode there is, is made on purpose, below: by the way, it would have times in it.
ENV PYTHONDONTWRITEBYTECODE=1

WORKDIR /build
COPY requirements/image-build.txt requirements/${REQUIREMENTS}.txt requirements/

# An environment to build with, and one to ship, which has no pip. Wheels alone: no compiler, and
# nothing of a package runs while it is installed.
RUN python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        --only-binary :all: --requirement requirements/image-build.txt \
    && python3 -m venv --without-pip /opt/authz-service \
    && tools/bin/pip --python /opt/authz-service/bin/python install --no-cache-dir \
        --disable-pip-version-check --no-compile --require-hashes --only-binary :all: \
        --requirement "requirements/${REQUIREMENTS}.txt"

# 44 MB of cel-expr-python that nothing loads: what its wheel was built with, which is in it by
# mistake, and extensions of the language that `when` does not have.
RUN rm -rf /opt/authz-service/lib/python3*/site-packages/bazel-project \
        /opt/authz-service/lib/python3*/site-packages/cel_expr_python/ext

# Hatchling's clock, so that the same source makes the same wheel.
ARG SOURCE_DATE_EPOCH

COPY pyproject.toml README.md LICENSE ./
COPY envoy/envoy.yaml envoy/
COPY authz_service authz_service/

RUN tools/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-index --no-deps \
        --no-build-isolation --wheel-dir dist . \
    && tools/bin/pip --python /opt/authz-service/bin/python install --no-cache-dir \
        --disable-pip-version-check --no-compile --no-index --no-deps dist/*.whl \
    && mkdir empty

# Bytecode is made here, as nothing can be written at run time. Also that of the standard library, of
# which the official images have none: without it a start takes twice the time. It is in a directory
# of its own, for a final stage without a shell, and is held against a hash of the source, since
# builders change the times of files.
ENV PYTHONPYCACHEPREFIX=/opt/authz-service/bytecode
RUN /opt/authz-service/bin/python -m compileall -q --invalidation-mode checked-hash \
        -x '/(tests?|idlelib|tkinter|turtledemo|lib2to3|ensurepip|pydoc_data|[a-z]+-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && /opt/authz-service/bin/python -m compileall -q --invalidation-mode checked-hash \
        /opt/authz-service/lib

FROM ${RUNTIME}

# The base's own pip has no use here, and findings of its own. In exec form: there may be no shell.
RUN ["python3", "-c", "import glob, shutil, sysconfig as s; [shutil.rmtree(each) for path in (s.get_path('purelib') + '/pip*', s.get_path('stdlib') + '/ensurepip') for each in glob.glob(path)]"]

COPY --from=build /opt/authz-service /opt/authz-service

# For a unix socket and for `--key-cache`: a new volume of Docker takes its owner from here.
COPY --from=build --chown=65532:65532 /build/empty /run/authz
COPY --from=build --chown=65532:65532 /build/empty /var/cache/authz

ENV PATH=/opt/authz-service/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPYCACHEPREFIX=/opt/authz-service/bytecode \
    PYTHONDONTWRITEBYTECODE=1 \
    AUTHZ_POLICY=/etc/authz/policy

# In numbers, so that Kubernetes can see that it is not root.
USER 65532:65532

EXPOSE 9191 9192
STOPSIGNAL SIGTERM
# Longer than the 3 s that `health` itself waits.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["authz-service", "health"]
ENTRYPOINT ["authz-service"]
CMD ["serve"]

# Last, so that another commit changes no layer above.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="authz-service" \
      org.opencontainers.image.description="External authorization server for Envoy: checks OAuth 2 access tokens by host, path and method" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
