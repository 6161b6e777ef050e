// The files an attempt leaves: the text, the object, the pictures. Their form is what was asked for; a picture's is what its bytes say.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import { FinalError } from './failure.ts';
import type { TextFormat } from './payload.ts';

interface Form {
  readonly ending: string;
  readonly mediaType: string;
}

const TEXTS: Readonly<Record<TextFormat, Form>> = {
  text: { ending: 'txt', mediaType: 'text/plain; charset=utf-8' },
  markdown: { ending: 'md', mediaType: 'text/markdown; charset=utf-8' },
  html: { ending: 'html', mediaType: 'text/html; charset=utf-8' },
};

const PICTURES: readonly (Form & { readonly begins: RegExp })[] = [
  { ending: 'png', mediaType: 'image/png', begins: /^\x89PNG\r\n/ },
  { ending: 'jpg', mediaType: 'image/jpeg', begins: /^\xff\xd8\xff/ },
  { ending: 'webp', mediaType: 'image/webp', begins: /^RIFF[\s\S]{4}WEBP/ },
  { ending: 'gif', mediaType: 'image/gif', begins: /^GIF8/ },
];

type Saving = Pick<AttemptContext, 'saveArtifact'>;

/** Saves texts as `content.md`, or `content-1.md` … where there are several. */
export async function saveTexts(
  texts: readonly string[],
  format: TextFormat,
  name: string | undefined,
  context: Saving,
): Promise<readonly JsonObject[]> {
  const { ending, mediaType } = TEXTS[format];
  const saved: JsonObject[] = [];
  for (const [index, text] of texts.entries()) {
    const file = nameOf(name ?? `content.${ending}`, texts.length > 1 ? index + 1 : null);
    saved.push(await save(file, 'generated_text', mediaType, Buffer.from(text), context));
  }
  return saved;
}

/** Saves the object as `content.json`. */
export function saveObject(value: Json, name: string | undefined, context: Saving): Promise<JsonObject> {
  const bytes = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  return save(name ?? 'content.json', 'generated_object', 'application/json', bytes, context);
}

/** Saves pictures as `image-1.png` …; throws `task_failed` for bytes that are none. */
export async function savePictures(
  pictures: readonly Uint8Array[],
  name: string | undefined,
  context: Saving,
): Promise<readonly JsonObject[]> {
  const saved: JsonObject[] = [];
  for (const [index, bytes] of pictures.entries()) {
    const head = Buffer.from(bytes.subarray(0, 16)).toString('latin1');
    const form = PICTURES.find(({ begins }) => begins.test(head));
    if (form === undefined)
      throw new FinalError(
        'task_failed',
        'the model provider sent bytes that are no picture it is known to send',
      );
    const many = pictures.length > 1 || name === undefined;
    const file = nameOf(name ?? `image.${form.ending}`, many ? index + 1 : null);
    saved.push(await save(file, 'generated_image', form.mediaType, bytes, context));
  }
  return saved;
}

/** The name itself, or with a number before its ending. */
function nameOf(name: string, number: number | null): string {
  if (number === null) return name;
  const dot = name.lastIndexOf('.');
  return dot < 0 ? `${name}-${number}` : `${name.slice(0, dot)}-${number}${name.slice(dot)}`;
}

async function save(
  name: string,
  type: string,
  mediaType: string,
  source: Uint8Array,
  context: Saving,
): Promise<JsonObject> {
  const artifact = await context.saveArtifact({ name, type, mediaType, source });
  return {
    name,
    media_type: mediaType,
    artifact_id: artifact.id,
    size_bytes: artifact.sizeBytes,
    sha256: artifact.sha256,
  };
}
