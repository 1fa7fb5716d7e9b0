// Where the three starter providers lead: to the demo provider, or with keys from the environment to the real ones.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type pg from "pg";
import { z } from "zod";
import { hostsOf } from "../lib/allowed-hosts.ts";
import { PROVIDER_KEY_VARIABLES, type ProviderName } from "./config.ts";
import { writePrivateJson } from "./data-directory.ts";
import { asPlatformAdmin } from "./postgres.ts";

const DEMO_LABEL = "demo";
const ENVIRONMENT_LABEL = "environment";
/** Where the gateway goes for a provider without a base URL, by its protocol. */
const GATEWAY_DEFAULTS: Record<string, string> = {
  dashscope: "https://dashscope-intl.aliyuncs.com",
  openai: "https://api.openai.com",
  anthropic: "https://api.anthropic.com",
  google: "https://generativelanguage.googleapis.com",
};

export interface ProviderRouting {
  databaseUrl: string;
  dataDirectory: string;
  masterKey: string;
  /** The real keys; none = the demo provider serves. */
  providerKeys: Partial<Record<ProviderName, string>>;
  /** Where the demo provider listens; null when real keys are used. */
  demoUrl: string | null;
}

interface ProviderRow {
  name: string;
  display_name: string;
  portkey_provider: string;
  base_url: string | null;
  endpoints: string[];
  is_active: boolean;
  is_direct: boolean;
}

interface KeyRow {
  id: string;
  label: string;
}

const realBaseUrls = z.record(z.string(), z.string().nullable());

/**
 * Gives each starter provider its key and address. A provider that has a key of another label belongs to whoever gave it
 * that key and is left alone. Returns the hosts of all providers, as PORTKEY_ALLOWED_HOSTS takes them.
 */
export async function routeProviders(routing: ProviderRouting): Promise<string> {
  // The real addresses of the providers that lead to the demo provider for now.
  const file = path.join(routing.dataDirectory, "providers.json");
  const real = existsSync(file) ? realBaseUrls.parse(JSON.parse(readFileSync(file, "utf8"))) : {};
  return asPlatformAdmin(routing.databaseUrl, { "app.settings.master_key": routing.masterKey }, async (client) => {
    for (const name of Object.keys(PROVIDER_KEY_VARIABLES) as ProviderName[]) {
      const provider = (await providers(client)).find((row) => row.name === name);
      if (!provider) continue;
      const { rows: keys } = await client.query<KeyRow>("select id, label from data.provider_key where provider = $1", [
        name,
      ]);
      if (keys.some(({ label }) => label !== DEMO_LABEL && label !== ENVIRONMENT_LABEL)) continue;

      if (routing.demoUrl !== null) {
        if (!(name in real)) real[name] = provider.base_url;
        writePrivateJson(file, real);
        await setBaseUrl(client, provider, `${routing.demoUrl}/${name}/v1`);
      } else if (real[name] !== undefined) {
        await setBaseUrl(client, provider, real[name]);
        delete real[name];
      }
      const secret = routing.demoUrl === null ? routing.providerKeys[name] : `sk-demo-${name}`;
      const label = routing.demoUrl === null ? ENVIRONMENT_LABEL : DEMO_LABEL;
      for (const key of keys) {
        if (key.label !== label || secret === undefined)
          await client.query("select api.delete_provider_key($1)", [key.id]);
      }
      if (secret !== undefined) await client.query("select api.set_provider_key($1, $2, $3)", [name, label, secret]);
    }
    const rows = await providers(client);
    return hostsOf(
      rows.map((row) => row.base_url ?? GATEWAY_DEFAULTS[row.portkey_provider]).filter((url) => url !== undefined),
    );
  }).then((hosts) => {
    writePrivateJson(file, real);
    return hosts;
  });
}

async function providers(client: pg.Client): Promise<ProviderRow[]> {
  const { rows } = await client.query<ProviderRow>(
    "select name, display_name, portkey_provider, base_url, endpoints, is_active, is_direct from data.provider",
  );
  return rows;
}

async function setBaseUrl(client: pg.Client, provider: ProviderRow, baseUrl: string | null): Promise<void> {
  const { name, portkey_provider, endpoints, display_name, is_active, is_direct } = provider;
  await client.query(
    `select api.set_provider(name => $1, portkey_provider => $2, endpoints => $3, display_name => $4, base_url => $5,
      is_active => $6, is_direct => $7)`,
    [name, portkey_provider, endpoints, display_name, baseUrl, is_active, is_direct && baseUrl !== null],
  );
}
