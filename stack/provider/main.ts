import { config } from "./config.ts";
import { createProvider } from "./server.ts";

const server = createProvider();
server.listen(config.PROVIDER_PORT, config.PROVIDER_HOST, () => {
  console.log(`Demo provider on ${config.PROVIDER_HOST}:${config.PROVIDER_PORT}`);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}
