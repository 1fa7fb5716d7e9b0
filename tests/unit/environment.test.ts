import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readVariables } from "../../lib/environment.ts";
import { signJwt } from "../../lib/secrets.ts";

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-environment-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(content: string): string {
  const name = path.join(directory, `secret-${Math.random()}`);
  writeFileSync(name, content);
  return name;
}

describe("readVariables", () => {
  it("takes the named variables only, and an empty one as unset", () => {
    expect(readVariables(["A", "B"], { A: "1", B: "", C: "3" })).toEqual({ A: "1" });
  });

  it("reads NAME from the file of NAME_FILE, without the line break at its end", () => {
    expect(readVariables(["SECRET"], { SECRET: "", SECRET_FILE: file(" s3cret \n") })).toEqual({ SECRET: " s3cret " });
  });

  it("names the variable when both are set, and when the file is not there", () => {
    expect(() => readVariables(["SECRET"], { SECRET: "a", SECRET_FILE: file("b") })).toThrow(/^SECRET: .* not both$/);
    expect(() => readVariables(["SECRET"], { SECRET_FILE: path.join(directory, "none") })).toThrow(
      /^SECRET_FILE: .*ENOENT/,
    );
  });

  it.each([
    ["a placeholder", "postgres://worker:change-me@db/neuropia"],
    ["a password of the demo", "postgres://worker:demo-abcdef@127.0.0.1:5432/neuropia"],
    ["a key of the demo", "demo-0123456789"],
    ["a token of the demo", signJwt({ role: "gateway", demo: true }, "x".repeat(32))],
  ])("refuses %s in production and nowhere else, without repeating it", (_what, value) => {
    expect(readVariables(["SECRET"], { SECRET: value })).toEqual({ SECRET: value });
    const refused = () => readVariables(["SECRET"], { SECRET: value, NODE_ENV: "production" });
    expect(refused).toThrow(/^SECRET: expected a secret of your own in production/);
    expect(refused).not.toThrow(value);
    expect(() => readVariables(["SECRET"], { SECRET_FILE: file(value), NODE_ENV: "production" })).toThrow(/^SECRET: /);
  });

  it("takes other secrets in production", () => {
    const variables = {
      URL: "postgres://worker:Zm9v@127.0.0.1:5432/demo-1",
      TOKEN: signJwt({ role: "gateway" }, "x".repeat(32)),
      TEXT: "a.b.c",
    };
    expect(readVariables(Object.keys(variables), { ...variables, NODE_ENV: "production" })).toEqual(variables);
  });
});
