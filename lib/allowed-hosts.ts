/** Decides whether calls with the platform's keys may go to `host`:`port`. */
export type AllowedHosts = (host: string, port: number) => boolean;

const ENTRY = /^([a-z0-9][a-z0-9.-]*)(?::(\d{1,5}|\*))?$/;
const DEFAULT_PORTS = ["80", "443"];

/**
 * Parses a comma-separated list of `host`, `host:port` and `host:*`. A host without a port stands for ports 80 and 443.
 * Nothing is allowed by an empty list. Throws on an entry of another form.
 */
export function parseAllowedHosts(list: string): AllowedHosts {
  const allowed = new Set<string>();
  for (const raw of list.split(",")) {
    const entry = raw.trim().toLowerCase();
    if (entry === "") continue;
    const [, host, port] = ENTRY.exec(entry) ?? [];
    if (!host) throw new Error(`expected a comma-separated list of host, host:port or host:*, not "${entry}"`);
    for (const each of port ? [port] : DEFAULT_PORTS) allowed.add(`${host}:${each}`);
  }
  return (host, port) => {
    const name = host.toLowerCase();
    return allowed.has(`${name}:${port}`) || allowed.has(`${name}:*`);
  };
}

/** The list of hosts behind `baseUrls`, in the form `parseAllowedHosts` reads. */
export function hostsOf(baseUrls: string[]): string {
  return [...new Set(baseUrls.map((baseUrl) => urlEndpoint(new URL(baseUrl)).join(":")))].join(",");
}

export function urlEndpoint(url: URL): [host: string, port: number] {
  return [url.hostname, Number(url.port) || (url.protocol === "http:" || url.protocol === "ws:" ? 80 : 443)];
}
