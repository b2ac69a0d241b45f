import { isDeepStrictEqual } from 'node:util';
import { EXAMPLES } from './examples.js';
import { isObject, type Direction, type Json } from './plain-schema.js';

/**
 * Moves every schema with a title to the components, once, and refers to it: generated clients get types with names.
 * What is sent in another form than it is answered (with a default, a member may be missing) gets a name of its own.
 */
export class Components {
  readonly schemas: Json = {};

  /** Everything that is answered comes before anything that is sent. */
  named(value: unknown, direction: Direction): unknown {
    if (Array.isArray(value)) return value.map((item) => this.named(item, direction));
    if (!isObject(value)) return value;
    const schema = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.named(item, direction)]));
    const { title } = schema;
    if (typeof title !== 'string') return schema;
    return { $ref: `#/components/schemas/${this.keep(title, schema, direction)}` };
  }

  private keep(title: string, schema: Json, direction: Direction): string {
    for (const name of direction === 'sent' ? [title, `${title}Request`] : [title]) {
      const whole = { ...schema, title: name, ...(name in EXAMPLES ? { examples: EXAMPLES[name] } : {}) };
      const known = this.schemas[name];
      if (known !== undefined && !isDeepStrictEqual(known, whole)) continue;
      this.schemas[name] = whole;
      return name;
    }
    throw new Error(`two schemas have the name ${title}`);
  }
}
