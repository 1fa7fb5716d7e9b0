// What every benchmark prints: tables on the terminal, figures as JSON, tables in a Markdown file.
import { readFileSync, writeFileSync } from "node:fs";
import os from "node:os";

export interface Table {
  title: string;
  columns: string[];
  rows: string[][];
  /** Printed below it. */
  notes?: string[];
}

export interface Report {
  /** Name of the benchmark, and of its section in the Markdown file. */
  name: string;
  tables: Table[];
  /** For `--json`: what was asked for and every figure. */
  figures: object;
}

export interface ReportOptions {
  json: string | undefined;
  markdown: string | undefined;
}

/** `value` with `digits` decimals and thousands separated; a dash for what is not known. */
export function figure(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function machine(): string {
  const cpus = os.cpus();
  const memoryGb = Math.round(os.totalmem() / 2 ** 30);
  return `${cpus.length} × ${cpus[0]?.model.trim() ?? "?"}, ${memoryGb} GB, Node ${process.version}`;
}

function terminalTable({ title, columns, rows, notes = [] }: Table): string {
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index]?.length ?? 0)));
  const line = (cells: string[]): string =>
    cells
      .map((cell, index) => (index === 0 ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0)))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [title, "", line(columns), rule, ...rows.map(line), ...notes.map((note) => `* ${note}`), ""].join("\n");
}

function markdownTable({ title, columns, rows, notes = [] }: Table): string {
  const line = (cells: string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    `**${title}**`,
    "",
    line(columns),
    line(columns.map((_, index) => (index === 0 ? "---" : "---:"))),
    ...rows.map(line),
    "",
    ...(notes.length > 0 ? [...notes.map((note) => `- ${note}`), ""] : []),
  ].join("\n");
}

/** Puts `text` between `<!-- NAME -->` and `<!-- /NAME -->` of the file. Throws when it has no such place. */
function replaceSection(file: string, name: string, text: string): void {
  const content = readFileSync(file, "utf8");
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [from, to] = [content.indexOf(begin), content.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no place for the table: put ${begin} and ${end} there`);
  writeFileSync(file, `${content.slice(0, from + begin.length)}\n${text}\n${content.slice(to)}`);
}

/** Prints the tables and writes the files that were asked for. */
export function publish({ name, tables, figures }: Report, { json, markdown }: ReportOptions): void {
  const header = `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC, ${machine()}`;
  console.log(["", header, "", ...tables.map(terminalTable)].join("\n"));
  if (json !== undefined) {
    const content = { name, at: new Date().toISOString(), machine: machine(), ...figures };
    writeFileSync(json, `${JSON.stringify(content, null, 2)}\n`);
  }
  if (markdown !== undefined) {
    replaceSection(markdown, name, ["", `Measured ${header}.`, "", ...tables.map(markdownTable)].join("\n"));
  }
}
