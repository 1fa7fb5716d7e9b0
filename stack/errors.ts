/** Something the person at the terminal can put right: one line that says what is wrong and what to do. */
export class StackError extends Error {}

export function errorCode(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code;
}
