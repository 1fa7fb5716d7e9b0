import { createCipheriv, createDecipheriv, hash, randomBytes } from "node:crypto";

const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** Encrypts what is kept outside of this process, with AES-256-GCM. */
export class Encryption {
  readonly #key: Buffer;
  /** Tells keys apart without telling them. */
  readonly fingerprint: string;

  /** @param key 32 bytes */
  constructor(key: Buffer) {
    this.#key = key;
    this.fingerprint = hash("sha256", Buffer.concat([Buffer.from("fingerprint"), key]), "hex").slice(0, 16);
  }

  /** @param place where the result will be kept: it can be read nowhere else */
  encrypt(text: string, place: string): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, iv, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(place));
    const encrypted = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), encrypted]).toString("base64");
  }

  /** @throws Error when the text was encrypted with another key, for another place, or was changed */
  decrypt(encrypted: string, place: string): string {
    const bytes = Buffer.from(encrypted, "base64");
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(place)).setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
    return decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  }
}
