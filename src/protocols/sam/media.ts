// What a file is by its first bytes, and whether that agrees with what its sender says it is (`SAM-74`).

interface Magic {
  readonly mediaTypes: readonly string[];
  readonly offset: number;
  readonly bytes: readonly number[];
}

const text = (characters: string): readonly number[] => [...Buffer.from(characters, 'latin1')];

/** The first media type of each row is the one a file is said to be; the others are other names for it, or formats built on it. */
const MAGICS: readonly Magic[] = [
  { mediaTypes: ['image/png'], offset: 0, bytes: [0x89, ...text('PNG\r\n\x1a\n')] },
  { mediaTypes: ['image/jpeg', 'image/jpg'], offset: 0, bytes: [0xff, 0xd8, 0xff] },
  { mediaTypes: ['image/gif'], offset: 0, bytes: text('GIF8') },
  { mediaTypes: ['image/webp'], offset: 8, bytes: text('WEBP') },
  { mediaTypes: ['application/pdf'], offset: 0, bytes: text('%PDF-') },
  {
    mediaTypes: [
      'application/zip',
      'application/x-zip-compressed',
      'application/java-archive',
      'application/epub+zip',
      'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
      'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
      'application/vnd.openxmlformats-officedocument.presentationml.presentation',
      'application/vnd.oasis.opendocument.text',
      'application/vnd.oasis.opendocument.spreadsheet',
    ],
    offset: 0,
    bytes: text('PK\x03\x04'),
  },
  { mediaTypes: ['application/gzip', 'application/x-gzip'], offset: 0, bytes: [0x1f, 0x8b] },
  { mediaTypes: ['application/zstd'], offset: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { mediaTypes: ['application/x-7z-compressed'], offset: 0, bytes: text('7z\xbc\xaf\x27\x1c') },
  { mediaTypes: ['application/vnd.apache.parquet', 'application/parquet'], offset: 0, bytes: text('PAR1') },
  {
    mediaTypes: ['application/vnd.sqlite3', 'application/x-sqlite3'],
    offset: 0,
    bytes: text('SQLite format 3\0'),
  },
  { mediaTypes: ['application/wasm'], offset: 0, bytes: text('\0asm') },
  { mediaTypes: ['application/x-elf', 'application/x-executable'], offset: 0, bytes: text('\x7fELF') },
  {
    mediaTypes: ['application/vnd.microsoft.portable-executable', 'application/x-msdownload'],
    offset: 0,
    bytes: text('MZ'),
  },
];

/** A sender that says this says nothing. */
const UNSPECIFIC = 'application/octet-stream';

/** The media type the first bytes show, or null where they show none. */
export function detectedType(head: Uint8Array): string | null {
  return magicOf(head)?.mediaTypes[0] ?? null;
}

/** Why a file cannot be what its sender says, or null where it may be. */
export function contradiction(head: Uint8Array, declared: string): string | null {
  const said = essence(declared);
  if (said === UNSPECIFIC || head.length === 0) return null;
  const found = magicOf(head);
  if (found?.mediaTypes.includes(said) === true) return null;
  const isTextual = /^text\/|[/+](json|xml|csv|yaml|javascript)$/.test(said);
  const hasOwnMagic = MAGICS.some(one => one.mediaTypes.includes(said));
  if (found === undefined) return hasOwnMagic ? `the bytes are not those of ${said}` : null;
  // Two letters may begin any text; it takes more to say that a text is a program.
  if (isTextual && found.bytes.length <= 2 && !head.includes(0)) return null;
  return isTextual || hasOwnMagic
    ? `declared as ${said}, but the bytes are those of ${found.mediaTypes[0]}`
    : null;
}

/** A media type without its parameters, in lower case. */
export function essence(mediaType: string): string {
  return (mediaType.split(';')[0] ?? '').trim().toLowerCase();
}

function magicOf(head: Uint8Array): Magic | undefined {
  return MAGICS.find(({ offset, bytes }) => bytes.every((byte, index) => head[offset + index] === byte));
}
