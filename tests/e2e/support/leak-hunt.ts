// A search for secrets in everything that a run leaves behind.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import path from "node:path";
import type { Redis } from "ioredis";
import type pg from "pg";
import type { Mail, Mailbox } from "../../setup/mailbox.ts";

/** A place that may hold no secret. */
export type Sink = { kind: string; name: string; bytes: Buffer };

export type Secret = {
  kind: string;
  value: string;
  /** The names of the sinks that show it, once, to whom it belongs. */
  shownIn: string[];
};

export type Finding = { secret: string; as: string; kind: string; sink: string };

export const sink = (kind: string, name: string, content: string | Buffer): Sink => ({
  kind,
  name,
  bytes: Buffer.isBuffer(content) ? content : Buffer.from(content),
});

/** How a secret may be written. Two ways that are the same text count once. */
function writings({ value }: Secret): Map<string, string> {
  const bytes = Buffer.from(value);
  const ways: [way: string, text: string][] = [
    ["plain", value],
    ["JSON", JSON.stringify(value).slice(1, -1)],
    ["row", value.replaceAll(/["\\\\]/g, "$&$&")],
    ["URL", encodeURIComponent(value)],
    ["hex", bytes.toString("hex")],
    ["base64", bytes.toString("base64").replace(/.?=+$/, "")],
    ["base64url", bytes.toString("base64url")],
    // As the password of a URL or of basic authentication, after a name of one and of two bytes more.
    ["base64 + 1", bytes.subarray(2).toString("base64").replace(/.?=+$/, "")],
    ["base64 + 2", bytes.subarray(1).toString("base64").replace(/.?=+$/, "")],
  ];
  return new Map(ways.map(([way, text]) => [text, way]));
}

/** Looks for every secret, however it is written, in every sink that may not show it. */
export function hunt(secrets: Secret[], sinks: Sink[]): { findings: Finding[]; searches: number; megabytes: number } {
  const findings: Finding[] = [];
  let searches = 0;
  for (const secret of secrets) {
    for (const [text, way] of writings(secret)) {
      const needle = Buffer.from(text);
      for (const { kind, name, bytes } of sinks) {
        if (secret.shownIn.includes(name)) continue;
        searches += 1;
        if (bytes.includes(needle)) findings.push({ secret: secret.kind, as: way, kind, sink: name });
      }
    }
  }
  return { findings, searches, megabytes: sinks.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6 };
}

/** The files below a directory, each as a sink. */
export function filesBelow(kind: string, directory: string): Sink[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) return [sink(kind, file, readlinkSync(file))];
    // PostgreSQL removes files of its own while they are being read.
    if (!entry.isFile()) return [];
    try {
      return [sink(kind, path.relative(directory, file), readFileSync(file))];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  });
}

/** Files with a secret in them that others than their owner may read. */
export function openFiles(directory: string, secrets: Secret[]): string[] {
  return filesBelow("file", directory)
    .filter(({ bytes }) => secrets.some(({ value }) => bytes.includes(value)))
    .map(({ name }) => path.join(directory, name))
    .filter((file) => (statSync(file).mode & 0o077) !== 0);
}

/** The command line of every process of the machine that can be seen. */
export function commandLines(): Sink[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      return [sink("command line", `process ${pid}`, readFileSync(`/proc/${pid}/cmdline`))];
    } catch {
      return [];
    }
  });
}

/** Every row of every table, as a dump of the database has it. */
export async function tablesOf(client: pg.Client): Promise<Sink[]> {
  const { rows } = await client.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c
     where c.relkind = 'r' and c.relnamespace not in ('information_schema'::regnamespace, 'pg_toast'::regnamespace)
     order by 1`,
  );
  const sinks: Sink[] = [];
  for (const { name } of rows) {
    const { rows: found } = await client.query<{ content: string | null }>(
      `select string_agg(t::text, E'\\n') as content from ${name} t`,
    );
    sinks.push(sink("table", name, found[0]?.content ?? ""));
  }
  return sinks;
}

/** Everything in Redis, names and values, in the clear. */
export async function redisOf(redis: Redis): Promise<Sink[]> {
  const keys = await redis.keys("*");
  const sinks = [sink("Redis", "names", keys.join("\n"))];
  for (const key of keys) {
    const read: Record<string, () => Promise<unknown>> = {
      hash: () => redis.hgetall(key),
      set: () => redis.smembers(key),
      zset: () => redis.zrange(key, "0", "-1"),
      list: () => redis.lrange(key, 0, -1),
      string: () => redis.get(key),
    };
    const value = await read[await redis.type(key)]?.();
    sinks.push(sink("Redis", key, JSON.stringify(value) ?? ""));
  }
  return sinks;
}

export const mailsOf = ({ mails }: Mailbox): Sink[] =>
  mails.map((mail: Mail, index) =>
    sink("mail", `mail ${index} to ${mail.to}`, `${mail.subject}\n${mail.text}\n${mail.html}`),
  );

/** Calls over HTTP, each answer kept as a sink with its head and its body. */
export class Recorder {
  readonly sinks: Sink[] = [];

  async fetch(url: string, init: RequestInit = {}): Promise<{ status: number; text: string; name: string }> {
    const response = await fetch(url, { redirect: "manual", ...init });
    const text = await response.text();
    const { pathname } = new URL(url);
    const name = `answer ${this.sinks.length + 1} ${init.method ?? "GET"} ${pathname.replaceAll(/vk_\w+/g, "vk_…")} ${response.status}`;
    const head = [...response.headers].map(([header, value]) => `${header}: ${value}`).join("\n");
    this.sinks.push(sink("HTTP answer", name, `${head}\n\n${text}`));
    return { status: response.status, text, name };
  }
}
