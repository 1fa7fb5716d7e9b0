import { FREE_PORTS, readConfig, type StackConfig } from "../../stack/config.ts";
import { pgbouncer } from "./pgbouncer.ts";

/** A stack's configuration for tests: in `directory`, on free ports, in demo mode, whatever the environment says. */
export function testConfig(directory: string): StackConfig {
  return {
    ...readConfig({ PATH: process.env.PATH, HOME: process.env.HOME }),
    dataDirectory: directory,
    dataDirectoryGiven: true,
    ports: FREE_PORTS,
    // Tests make providers of their own.
    extraAllowedHosts: "127.0.0.1:*",
    pgbouncerBinary: process.env.TEST_PGBOUNCER === "1" ? pgbouncer : undefined,
  };
}
