/** What a pgTAP file printed, line by line. */
export interface TapResult {
  planned: number | undefined;
  passed: number;
  /** `not ok` lines, each with its diagnostics, and everything else that makes the file fail. */
  problems: string[];
}

/** Reads TAP lines. A missing plan, a count that differs from it, a skipped or a todo test are problems. */
export function readTap(lines: string[]): TapResult {
  let planned: number | undefined;
  let passed = 0;
  let failed = 0;
  const problems: string[] = [];
  let afterFailure = false;
  for (const line of lines.flatMap((each) => each.split("\n"))) {
    const plan = /^1\.\.(\d+)/.exec(line);
    const outcome = /^(not )?ok\b/.exec(line);
    if (plan) {
      planned = Number(plan[1]);
    } else if (outcome) {
      const excused = /# (SKIP|TODO)\b/i.test(line);
      afterFailure = outcome[1] !== undefined || excused;
      if (afterFailure) {
        failed += 1;
        problems.push(line);
      } else {
        passed += 1;
      }
    } else if (afterFailure && line.startsWith("#")) {
      problems.push(`  ${line}`);
    }
  }
  if (planned === undefined) problems.push("there is no plan");
  else if (planned !== passed + failed) problems.push(`planned ${planned} tests, ran ${passed + failed}`);
  if (passed + failed === 0) problems.push("no test ran");
  return { planned, passed, problems };
}
