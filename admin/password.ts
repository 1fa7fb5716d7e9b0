// Where a password comes from: never from the command line, which every user of the machine can read.
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

/** Asks twice on a terminal; otherwise takes the first line of standard input. Throws when they differ or there is none. */
export async function readPassword(input: NodeJS.ReadStream, output: NodeJS.WriteStream): Promise<string> {
  if (!input.isTTY) return firstLine(input);
  const password = await ask("Password: ", input, output);
  if ((await ask("Again: ", input, output)) !== password) throw new Error("the two passwords differ");
  if (password === "") throw new Error("a password is needed");
  return password;
}

async function firstLine(input: NodeJS.ReadStream): Promise<string> {
  let text = "";
  for await (const chunk of input) text += chunk;
  const line = text.split(/\r?\n/)[0] ?? "";
  if (line === "") throw new Error("expected the password on standard input (or --generate)");
  return line;
}

async function ask(question: string, input: NodeJS.ReadStream, output: NodeJS.WriteStream): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: silent, terminal: true });
  output.write(question);
  try {
    return await lines.question("");
  } finally {
    lines.close();
    output.write("\n");
  }
}
