// Artifacts: files a task reads or leaves. The bytes live in a blob store under their digest; this is what is known of them.

import type { ArtifactId, TaskId, TenantId } from './ids.ts';

/** What is known of a stored file (`SAM-71`). */
export interface Artifact {
  readonly id: ArtifactId;
  readonly tenant: TenantId;
  /** The task that made it, or null for an uploaded input. */
  readonly taskId: TaskId | null;
  readonly attempt: number | null;
  /** `data_file`, `log`, `report`, `image`, `binary`, … as its maker says. */
  readonly type: string;
  /** The maker's name for it: shown, never used as a path (`SAM-75`). */
  readonly name: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  /** Lower-case hex SHA-256 of the bytes; also their address in the blob store. */
  readonly sha256: string;
  readonly createdAt: number;
  readonly quarantined: boolean;
}
