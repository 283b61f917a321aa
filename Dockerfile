# The service on one machine, in a container: docs/guides/install.md says how to run it.
FROM python:3.13-slim

# Commands of the container, and those of `docker exec`, find the environment; the service runs as a user without rights.
RUN useradd --create-home --uid 10001 dropsort && mkdir /data && chown dropsort /data
ENV PATH=/opt/dropsort/bin:$PATH PYTHONDONTWRITEBYTECODE=1

WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/dropsort && pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY infra infra
COPY models models
COPY dropsort dropsort
COPY handlers handlers
COPY monitoring monitoring
COPY training training
RUN pip install --no-cache-dir --no-deps .

# The embedded AWS and the functions' libraries: a start needs no package index then.
RUN python -c "from dropsort.local import venv; venv.ensure(on_step=print); from dropsort.deployment import package; package.build('host', package.CACHE, print)" \
    && chown -R dropsort /opt/dropsort

USER dropsort
WORKDIR /home/dropsort
VOLUME /data
ENTRYPOINT ["dropsort"]
CMD ["up", "--data", "/data", "--port", "4566"]
