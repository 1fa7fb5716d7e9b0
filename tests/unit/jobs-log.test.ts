import { expect, test } from "vitest";
import { createLogger, graphileLogger } from "../../jobs/log.ts";

test("of graphile-worker's details only the error is logged, never a job's payload", () => {
  const lines: string[] = [];
  const log = createLogger("info", { write: (line: string) => void lines.push(line) });
  const logger = graphileLogger(log).scope({ label: "job", jobId: "7" });
  logger.error("Failed task", { error: new Error("no such user"), job: { payload: { email: "ann@test.example" } } });
  logger.debug("too much detail");

  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: 50,
    process: "jobs",
    label: "job",
    jobId: "7",
    msg: "Failed task",
    err: { message: "no such user" },
  });
  expect(lines[0]).not.toContain("ann@test.example");
});
