FROM python:3.12-slim
ARG EXTRAS=cuda,k8s
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir ".[$EXTRAS]"
ENTRYPOINT ["gan-jax"]
