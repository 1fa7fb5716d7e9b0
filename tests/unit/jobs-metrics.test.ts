import { expect, test } from "vitest";
import { exposition, type Sample } from "../../jobs/metrics.ts";

const sample = (changes: Partial<Sample>): Sample => ({
  name: "neuropia_charge_total",
  type: "counter",
  help: "What was charged",
  labels: {},
  value: "1",
  ...changes,
});

test("samples keep every digit, in Prometheus's text format", () => {
  const labels = { provider: "openai", model: 'a "model" \\ with\na break' };
  const page = exposition([
    sample({ labels, value: "123456789012345678.0123456789" }),
    sample({ labels: { provider: "none", model: "m" }, value: "0.36" }),
    sample({ name: "neuropia_jobs", type: "gauge", help: "Jobs \\ by\nstate", labels: null, value: null }),
    sample({ name: "neuropia_grants_held", type: "gauge", help: "Grants" }),
  ]);
  expect(page.split("\n")).toEqual([
    "# HELP neuropia_charge_total What was charged",
    "# TYPE neuropia_charge_total counter",
    'neuropia_charge_total{provider="openai",model="a \\"model\\" \\\\ with\\na break"} 123456789012345678.0123456789',
    'neuropia_charge_total{provider="none",model="m"} 0.36',
    "# HELP neuropia_jobs Jobs \\\\ by\\nstate",
    "# TYPE neuropia_jobs gauge",
    "# HELP neuropia_grants_held Grants",
    "# TYPE neuropia_grants_held gauge",
    "neuropia_grants_held 1",
    "",
  ]);
});
