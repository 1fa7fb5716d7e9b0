// npm run bench:memory: what memory each process takes, minute by minute, while the proxy has as many calls as it can take.
import { asAdmin, createKeys, createModel, ENDPOINT, endOfAnswer, KINDS, requestBody } from "./accounts.ts";
import { type LoadResult, runLoad } from "./load.ts";
import { positive, readOptions, wholeNumber } from "./options.ts";
import { memoryOf } from "./processes.ts";
import { figure, publish } from "./report.ts";
import { benchmark, progress } from "./stack.ts";

const MODEL = { name: "bench-memory", upstreamModel: "memory-out-40" };
/** Beside the measured time of a period: its last calls, starting. */
const OVERHEAD_S = 10;

const options = readOptions("Memory of each process under full load, half of it JSON and half streams.", {
  minutes: { default: "10", help: "how many rows" },
  period: { default: "60", help: "seconds that a row is about" },
  connections: { default: "64", help: "connections, each making one call after the other" },
});
const minutes = positive("minutes", String(wholeNumber("minutes", options.minutes)));
const periodS = positive("period", options.period);
const connections = positive("connections", String(wholeNumber("connections", options.connections)));

interface Period {
  /** By kind of answer. */
  load: LoadResult[];
  /** Bytes by process, at the end of the period. */
  memory: Record<string, number | null>;
}

await benchmark(minutes * (periodS + OVERHEAD_S) + 60, async (stack, signal) => {
  const [key] = await asAdmin(stack, async (client) => {
    await createModel(client, stack.providerUrl, MODEL);
    return createKeys(client, 1);
  });
  if (key === undefined) throw new Error("no key was made");
  const periods: Period[] = [];
  for (let minute = 1; minute <= minutes; minute += 1) {
    let memory: Period["memory"] = {};
    const load = await Promise.all(
      KINDS.map((kind, index) =>
        runLoad({
          target: {
            url: `${stack.info.proxy_url}/v1/${ENDPOINT}`,
            headers: { "x-virtual-key": key.virtualKey },
            body: requestBody(MODEL.name, kind),
          },
          connections: Math.ceil(connections / KINDS.length),
          warmUpMs: 0,
          durationMs: periodS * 1000,
          endsWith: endOfAnswer(kind),
          signal,
          ...(index === 0 && {
            onMeasured: () => {
              memory = memoryByProcess();
            },
          }),
        }),
      ),
    );
    periods.push({ load, memory });
    const failure = load.find((each) => each.failure !== undefined)?.failure;
    progress(`${minute} of ${minutes}: ${load.map((each) => figure(each.requestsPerSecond)).join(" + ")} requests/s`);
    if (failure !== undefined) progress(failure.slice(0, 200));
  }

  function memoryByProcess(): Period["memory"] {
    return Object.fromEntries(
      Object.entries(stack.services).map(([name, service]) => [name, memoryOf(service.pid ? [service.pid] : [])]),
    );
  }

  const names = Object.keys(periods[0]?.memory ?? {});
  publish(
    {
      name: "bench:memory",
      tables: [
        {
          title: `Memory in MB at the end of each ${periodS === 60 ? "minute" : `${periodS} s`}, ${connections} connections`,
          columns: ["", "JSON/s", "streams/s", "failed", ...names],
          rows: periods.map(({ load, memory }, index) => [
            String(index + 1),
            ...load.map((each) => figure(each.requestsPerSecond)),
            figure(load.reduce((sum, each) => sum + each.failed, 0)),
            ...names.map((name) => figure(memory[name] == null ? null : memory[name] / 2 ** 20)),
          ]),
        },
      ],
      figures: { options: { minutes, periodS, connections }, periods },
    },
    options.report,
  );
});
