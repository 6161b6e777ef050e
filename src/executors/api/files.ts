// What a kept answer is called when the task gives it no name.

/** The media type of bytes nobody described. */
export const MEDIA_TYPE_UNKNOWN = 'application/octet-stream';

const ENDINGS: Readonly<Record<string, string>> = {
  'application/gzip': 'gz',
  'application/json': 'json',
  'application/pdf': 'pdf',
  'application/x-ndjson': 'ndjson',
  'application/xml': 'xml',
  'application/zip': 'zip',
  'image/gif': 'gif',
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/svg+xml': 'svg',
  'image/webp': 'webp',
  'text/csv': 'csv',
  'text/html': 'html',
  'text/plain': 'txt',
  'text/xml': 'xml',
};

/** The request's name with the ending of its media type, `bin` for one that is not known. */
export function fileName(request: string, mediaType: string): string {
  return `${request}.${ENDINGS[mediaType] ?? 'bin'}`;
}
