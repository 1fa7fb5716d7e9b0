import { createRequire } from "node:module";

const HEADER_LIMIT_BYTES = 131_072;

/** Arguments that make Node run the Portkey gateway with our preload. Its environment: see preload's config.ts. */
export function portkeyArgs(port: number): string[] {
  return [
    `--max-http-header-size=${HEADER_LIMIT_BYTES}`,
    `--import=${new URL("./preload.ts", import.meta.url).href}`,
    createRequire(import.meta.url).resolve("@portkey-ai/gateway/build/start-server.js"),
    "--headless",
    `--port=${port}`,
  ];
}
