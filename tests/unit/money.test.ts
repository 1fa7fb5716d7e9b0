// Money never touches a JS number: it is a string from the database to the client. This walks all sources but tests and fails
// where something named like money is a number, or is turned into one.
import path from "node:path";
import pg from "pg";
import { type Expression, type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import {
  isBinaryExpression,
  isCallExpression,
  isIdentifier,
  isPrefixUnaryExpression,
  isPropertyAccessExpression,
  isStringLiteral,
} from "typescript/unstable/ast/is";
import { API, type Checker, type Type, TypeFlags } from "typescript/unstable/sync";
import { expect, test } from "vitest";

const PROJECT_DIRECTORY = path.resolve(import.meta.dirname, "../..");
const DIRECTORIES = ["proxy", "jobs", "stack", "db", "bench", "admin"];

/** Names whose last word is one of these; plurals are collections. */
const MONEY =
  /(?:^|_|[a-z0-9](?=[A-Z]))(?:charge|cost|balance|amount|price|rate|budget|credit|refund|fee|spent|threshold|money)$/i;
const TYPE_NAME = /^[A-Z][a-z]/;
const CONVERSIONS = /^(?:Number|parseFloat|parseInt|Math|BigInt\.asIntN)\b/;
const ARITHMETIC: SyntaxKind[] = [
  SyntaxKind.PlusToken,
  SyntaxKind.MinusToken,
  SyntaxKind.AsteriskToken,
  SyntaxKind.SlashToken,
  SyntaxKind.PercentToken,
  SyntaxKind.AsteriskAsteriskToken,
  // As strings, "9" is more than "10".
  SyntaxKind.LessThanToken,
  SyntaxKind.LessThanEqualsToken,
  SyntaxKind.GreaterThanToken,
  SyntaxKind.GreaterThanEqualsToken,
  SyntaxKind.PlusEqualsToken,
  SyntaxKind.MinusEqualsToken,
  SyntaxKind.AsteriskEqualsToken,
  SyntaxKind.SlashEqualsToken,
];

/** What others give us as numbers, and where it becomes a string. */
const EXCEPTIONS: Record<string, string> = {
  "db/seed/prices.ts": "the price list is a package's: its numbers are written out, never calculated with",
  "stack/payments/stripe.ts": "stands in for Stripe, whose sums are whole numbers of cents",
};

function nameOf(node: Node): string | undefined {
  if (isIdentifier(node) || isStringLiteral(node)) return node.text;
  return isPropertyAccessExpression(node) ? node.name.text : undefined;
}

const isMoney = (node: Node): boolean => MONEY.test(nameOf(node) ?? "");

function namesMoney(node: Node): boolean {
  return isMoney(node) || node.forEachChild(namesMoney) === true;
}

function mayBeNumber(type: Type | undefined): boolean {
  if (!type) return false;
  if (type.isUnionType()) return type.getTypes().some(mayBeNumber);
  return (type.flags & (TypeFlags.NumberLike | TypeFlags.Any)) !== 0;
}

const isText = (node: Expression): boolean => isStringLiteral(node) || node.kind === SyntaxKind.TemplateExpression;

/** Where a file lets money be a number, as `line: source`. */
function violations(file: SourceFile, checker: Checker): string[] {
  const found = new Set<string>();
  const report = (node: Node): void => {
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line;
    found.add(`${line + 1}: ${file.text.split("\n")[line]?.trim()}`);
  };
  const named: Node[] = [];
  const visit = (node: Node): void => {
    if (isIdentifier(node) && isMoney(node) && !TYPE_NAME.test(node.text)) named.push(node);
    if (isCallExpression(node) && CONVERSIONS.test(node.expression.getText(file)) && node.arguments.some(namesMoney))
      report(node);
    if (isPrefixUnaryExpression(node) && node.operator !== SyntaxKind.ExclamationToken && isMoney(node.operand))
      report(node);
    if (isBinaryExpression(node) && ARITHMETIC.includes(node.operatorToken.kind)) {
      const operands = [node.left, node.right];
      const isConcatenation = node.operatorToken.kind === SyntaxKind.PlusToken && operands.some(isText);
      if (operands.some(isMoney) && !isConcatenation) report(node);
    }
    node.forEachChild(visit);
  };
  visit(file);
  for (const [position, type] of checker.getTypeAtLocation(named).entries()) {
    const node = named[position];
    if (node && mayBeNumber(type)) report(node);
  }
  return [...found];
}

function scan(options: ConstructorParameters<typeof API>[0], configFile: string, isWanted: (file: string) => boolean) {
  const api = new API(options);
  try {
    const [project] = api.updateSnapshot({ openProjects: [configFile] }).getProjects();
    if (!project) throw new Error(`no project: ${configFile}`);
    return project.rootFiles.filter(isWanted).flatMap((name) => {
      const file = project.program.getSourceFile(name);
      if (!file) throw new Error(`no source: ${name}`);
      return violations(file, project.checker).map((violation) => ({ file: name, violation }));
    });
  } finally {
    api.close();
  }
}

test("no source lets money be a number", { timeout: 60_000 }, () => {
  const relative = (file: string): string => path.relative(PROJECT_DIRECTORY, file);
  const files: string[] = [];
  const found = scan({ cwd: PROJECT_DIRECTORY }, path.join(PROJECT_DIRECTORY, "tsconfig.json"), (file) => {
    const isWanted = DIRECTORIES.includes(relative(file).split(path.sep)[0] ?? "") && !(relative(file) in EXCEPTIONS);
    if (isWanted) files.push(file);
    return isWanted;
  });
  expect(files.length).toBeGreaterThan(50);
  expect(found.map(({ file, violation }) => `${relative(file)}:${violation}`)).toEqual([]);
});

const ALLOWED = [
  "const charge: string = row.charge;",
  'const total = BigInt(row.charge.replace(".", ""));',
  'const text = "balance: " + balance;',
  'const isNone = balance === "0.0000000000" || !balance;',
  "const generated = Number(row.count) * 2;",
];
const REFUSED = [
  'const charge = JSON.parse("{}").charge;',
  "const inputRate = 0.1;",
  "function bill(amount: number | null): void {}",
  "type Usage = { cost?: number };",
  "const total = Number(row.charge);",
  "const total = Number.parseFloat(row.balance);",
  'const total = parseInt(row["input_price"], 10);',
  "const total = Math.max(balance, 0);",
  "const total = +balance;",
  "const total = -row.charge;",
  "const isPoor = balance < row.charge;",
  "let total = 0; total += row.charge;",
  "const twice = balance + balance;",
];

test("the guard finds what it is there for, and nothing else", { timeout: 60_000 }, () => {
  const directory = "/money-guard";
  const declarations = "declare const row: Record<string, string>; declare const balance: string; export {};";
  const virtual: Record<string, string> = {
    [`${directory}/tsconfig.json`]: JSON.stringify({ compilerOptions: { strict: true }, files: ["sample.ts"] }),
    [`${directory}/sample.ts`]: [declarations, ...[...ALLOWED, ...REFUSED].map((statement) => `{ ${statement} }`)].join(
      "\n",
    ),
  };
  const fs = {
    readFile: (name: string) => virtual[name],
    fileExists: (name: string) => (name in virtual ? true : undefined),
    directoryExists: (name: string) => (name === directory ? true : undefined),
  };
  const found = scan({ cwd: directory, fs }, `${directory}/tsconfig.json`, () => true);
  expect(found.map(({ violation }) => violation).toSorted()).toEqual(
    REFUSED.map((statement, position) => `${ALLOWED.length + position + 2}: { ${statement} }`).toSorted(),
  );
});

test("PostgreSQL's numbers with decimals and its 8-byte integers stay strings", () => {
  const { NUMERIC, MONEY: money, INT8 } = pg.types.builtins;
  for (const type of [NUMERIC, money, INT8]) expect(pg.types.getTypeParser(type)("0.1000000000")).toBe("0.1000000000");
});
