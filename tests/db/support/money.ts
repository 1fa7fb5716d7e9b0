// Exact decimals for the tests' own arithmetic: whole numbers of the last decimal, never JS numbers.

/** A sum of money, a rate or a price, in ten-billionths: ten decimals, as the database keeps them. */
export type Money = bigint;

/** Reads a decimal as a whole number of its `decimals`-th decimal; one with more decimals is refused. */
export function parseDecimal(text: string, decimals = 10): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  const [, sign, whole = "", fraction = ""] = match ?? [];
  if (!match || fraction.length > decimals) throw new Error(`not a decimal with ${decimals} decimals: ${text}`);
  const digits = BigInt(whole + fraction.padEnd(decimals, "0"));
  return sign ? -digits : digits;
}

/** Writes it as the database does, with all its decimals. */
export function formatDecimal(value: bigint, decimals = 10): string {
  const digits = String(value < 0n ? -value : value).padStart(decimals + 1, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** Drops `decimals` decimals, half up (away from zero). */
export function round(value: bigint, decimals: number): bigint {
  const unit = 10n ** BigInt(decimals);
  const rounded = ((value < 0n ? -value : value) + unit / 2n) / unit;
  return value < 0n ? -rounded : rounded;
}

export const largest = (...values: [bigint, ...bigint[]]): bigint => values.reduce((a, b) => (a > b ? a : b));
