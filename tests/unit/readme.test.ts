// The README in Chinese says what the README says: the same structure, commands, figures and links.
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
const [english, chinese] = ["README.md", "README.zh-CN.md"].map((file) =>
  // The link to the other language.
  readFileSync(path.join(root, file), "utf8").replace(/^\[(中文|English)\]\(.*\)\n/m, ""),
) as [string, string];

const lines = (text: string, pattern: RegExp): string[] => text.split("\n").filter((line) => pattern.test(line));
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found = ""]) => found);
const prose = (text: string): string => text.replace(/^ {4}.*$/gm, "");

it.each<[string, (text: string) => unknown]>([
  ["headings", (text) => lines(text, /^#+ /).map((line) => line.replace(/ .*/, ""))],
  ["code blocks", (text) => lines(text, /^ {4}/)],
  ["commands and names in the text", (text) => all(prose(text), /`([^`]+)`/g).sort()],
  ["figures in tables", (text) => lines(text, /^\|/).map((line) => line.match(/\d[\d.,]*/g))],
  ["columns of tables", (text) => lines(text, /^\|/).map((line) => line.split("|").length)],
  ["items of lists", (text) => lines(text, /^- /).length],
  ["links", (text) => all(text, /\]\(([^)]+)\)/g)],
])("README.zh-CN.md has the README's %s", (_what, part) => {
  const expected = part(english);
  expect(expected).not.toEqual([]);
  expect(part(chinese)).toEqual(expected);
});

it("both lead to files that exist", () => {
  for (const link of all(english, /\]\(([^)]+)\)/g)) expect(existsSync(path.join(root, link)), link).toBe(true);
});
