import type { Config } from "./config.ts";

/**
 * The URL that the worker connects with. The master key goes along as a setting of every session, in the connection's
 * start-up options: so it stands in no statement that the database might log.
 */
export function connectionUrl(config: Config, applicationName: string): string {
  const url = new URL(config.DATABASE_URL);
  url.searchParams.set("application_name", applicationName);
  if (config.MASTER_KEY !== undefined) {
    const setting = `-c app.settings.master_key=${config.MASTER_KEY.replace(/[\\\s]/g, "\\$&")}`;
    url.searchParams.set("options", [url.searchParams.get("options"), setting].filter(Boolean).join(" "));
  }
  return url.href;
}
