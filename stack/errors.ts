/** Something the person at the terminal can put right: one line that says what is wrong and what to do. */
export class StackError extends Error {}

export function errorCode(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code;
}

/** The one line that matters in what a program said before it failed. */
export function lastMessage(output: string): string | undefined {
  const lines = output.split("\n");
  // Not stack frames, closing braces, nor the version Node signs a crash with.
  return (
    lines.findLast((line) => /^\w*Error\b[^:]*: /.test(line)) ??
    lines.findLast((line) => /^[^\s}]/.test(line) && !line.startsWith("Node.js v"))
  )?.trim();
}
