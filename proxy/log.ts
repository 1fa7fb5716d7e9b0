import { type DestinationStream, type Logger, pino } from "pino";

const SECRET_KEYS = [
  "authorization",
  "x-api-key",
  "x-virtual-key",
  "virtual_key",
  "api_key",
  "portkey_config",
  "cookie",
];

/** The process's logger. Secrets are hidden wherever an object of one or two levels carries them. */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const paths = SECRET_KEYS.flatMap((key) => [`["${key}"]`, `*["${key}"]`, `*.*["${key}"]`]);
  const options = { level, base: { process: "proxy" }, redact: { paths, censor: "[hidden]" } };
  return destination ? pino(options, destination) : pino(options);
}

/** A URL's path as it may be logged: without the query, and without a virtual key. */
export function loggablePath(url: string): string {
  const path = url.split(/[?#]/, 1)[0] ?? "";
  return decode(path).replace(/vk_[0-9A-Za-z]+/g, "vk_[hidden]");
}

/** Whether a virtual key, or unless `whole` the beginning of one, is part of the URL's query. */
export function hasKeyInQuery(url: string, whole = false): boolean {
  const start = url.indexOf("?");
  return start !== -1 && (whole ? /vk_[0-9A-Za-z]{32}/ : /vk_[0-9A-Za-z]/).test(decode(url.slice(start)));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
