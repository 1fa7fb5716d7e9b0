import { parseArgs } from "node:util";
import type { ReportOptions } from "./report.ts";

/** What a benchmark accepts: name of the option, its default, and what it means. */
export type OptionSpec = Record<string, { default: string; help: string }>;

const COMMON = {
  json: { default: "", help: "write the figures to this file" },
  markdown: { default: "", help: "put the tables into this file, such as docs/performance.md" },
} satisfies OptionSpec;

/** Says what is wrong with the options and ends the process. */
export function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

/** Reads `--name value` options. `--help` prints them all and ends the process. */
export function readOptions<Spec extends OptionSpec>(
  about: string,
  spec: Spec,
): Record<keyof Spec, string> & { report: ReportOptions } {
  const all: OptionSpec = { ...spec, ...COMMON };
  const names = Object.keys(all);
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      options: {
        help: { type: "boolean" },
        ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
      },
    }));
  } catch (error) {
    refuse((error as Error).message);
  }
  if (values.help) {
    const lines = Object.entries(all).map(
      ([name, option]) => `  --${name.padEnd(13)} ${option.help}${option.default && ` (${option.default})`}`,
    );
    console.log([about, "", ...lines].join("\n"));
    process.exit(0);
  }
  const given = Object.fromEntries(names.map((name) => [name, String(values[name] ?? all[name]?.default ?? "")]));
  const report = { json: given.json || undefined, markdown: given.markdown || undefined };
  return { ...(given as Record<keyof Spec, string>), report };
}

/** A positive number; the option's name is for the error. */
export function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) refuse(`--${name}: expected a number above 0, not ${text}`);
  return value;
}

export function wholeNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) refuse(`--${name}: expected a whole number, not ${text}`);
  return Number(text);
}

/** A comma-separated list of positive whole numbers. */
export function wholeNumbers(name: string, text: string): number[] {
  return text.split(",").map((part) => positive(name, String(wholeNumber(name, part.trim()))));
}
