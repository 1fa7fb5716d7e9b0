import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SseSplitter, sseData } from "../../proxy/sse.ts";

const FIXTURES = new URL("../fixtures/usage/", import.meta.url);
const streams = readdirSync(FIXTURES).filter((name) => name.endsWith(".sse"));

function split(...chunks: Buffer[]): Buffer[] {
  const splitter = new SseSplitter();
  const events = chunks.flatMap((chunk) => splitter.push(chunk));
  const rest = splitter.flush();
  return rest.length > 0 ? [...events, rest] : events;
}

const dataOf = (events: Buffer[]) => events.map(sseData).filter((data) => data !== null);

describe("SseSplitter", () => {
  it.each(streams)("gives the same events for %s wherever it is cut in two", (name) => {
    const whole = readFileSync(new URL(name, FIXTURES));
    const expected = whole
      .toString("utf8")
      .split("\n\n")
      .filter((event) => event.trim() !== "")
      .map((event) => event.slice(event.indexOf("data: ") + 6));
    for (let at = 0; at <= whole.length; at++) {
      const events = split(whole.subarray(0, at), whole.subarray(at));
      expect(Buffer.concat(events).equals(whole)).toBe(true);
      expect(dataOf(events)).toEqual(expected);
    }
  });

  it.each(["\n", "\r\n", "\r"])("understands %j as line end, one byte at a time", (eol) => {
    const whole = Buffer.from(["event: a", "data: 1", "", ": ping", "", "data: 漢", "data: 字", "", ""].join(eol));
    const bytes = Array.from(whole, (byte) => Buffer.from([byte]));
    for (const events of [split(whole), split(...bytes)]) {
      expect(Buffer.concat(events).equals(whole)).toBe(true);
      expect(dataOf(events)).toEqual(["1", "漢\n字"]);
    }
  });

  it("gives an event as soon as it is complete", () => {
    const splitter = new SseSplitter();
    expect(splitter.push(Buffer.from("data: 1\n"))).toEqual([]);
    expect(splitter.push(Buffer.from("\ndata: 2"))).toEqual([Buffer.from("data: 1\n\n")]);
    expect(splitter.flush()).toEqual(Buffer.from("data: 2"));
    expect(splitter.flush()).toEqual(Buffer.alloc(0));
  });

  it("passes an oversized event on in pieces instead of keeping it", () => {
    const splitter = new SseSplitter(10);
    expect(splitter.push(Buffer.from("data: 1"))).toEqual([]);
    expect(splitter.push(Buffer.from("23456789"))).toEqual([Buffer.from("data: 123456789")]);
    expect(splitter.push(Buffer.from("\n\n"))).toEqual([Buffer.from("\n\n")]);
  });

  it("changes no byte, whatever comes in whatever pieces", () => {
    const piece = fc.oneof(fc.constantFrom("\n", "\r", "\r\n", "data: x", ": c", ""), fc.string());
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const whole = Buffer.from(pieces.join(""));
        const chunks = pieces.map((text) => Buffer.from(text));
        expect(Buffer.concat(split(...chunks)).equals(Buffer.concat(chunks))).toBe(true);
        expect(dataOf(split(...chunks))).toEqual(dataOf(split(whole)));
      }),
    );
  });
});

describe("sseData", () => {
  it("takes one space after the colon, no more", () => {
    expect(sseData(Buffer.from("data:  two\n\n"))).toBe(" two");
    expect(sseData(Buffer.from("data:none\n\n"))).toBe("none");
  });

  it("is null for a comment and for an event without data", () => {
    expect(sseData(Buffer.from(": keep-alive\n\n"))).toBeNull();
    expect(sseData(Buffer.from("event: ping\n\n"))).toBeNull();
  });
});
