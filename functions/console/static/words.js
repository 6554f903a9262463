// What failures mean and what to do, in sentences. The codes are those of docs/errors.md.
export const REASONS = {
  unknown_store: {
    what: "The store is not in the list of known stores.",
    todo: "Check the store id, and submit these visits again with the right one.",
  },
  invalid_url: {
    what: "This is not a web address that can be opened.",
    todo: "Correct the address; it begins with http:// or https:// and a server’s name.",
  },
  blocked_address: {
    what: "The photo is not on a public server.",
    todo: "Put the photo on a server that anyone on the internet can reach.",
  },
  dns_failed: {
    what: "The host name is unknown.",
    todo: "Check the server’s name in the address for typing errors.",
  },
  connect_failed: {
    what: "The server did not accept a connection.",
    todo: "Ask who runs the server whether it is up. Retry when it is.",
  },
  tls_failed: {
    what: "The server’s certificate is not valid.",
    todo: "Ask who runs the server to renew its certificate. Retry when it is done.",
  },
  timeout: {
    what: "The server did not send the photo in time.",
    todo: "Retry later. If it happens again, ask who runs the server why it is slow.",
  },
  http_status: {
    what: "The server answered with an error.",
    todo: "Open the address in a private window; the photo must appear without a login.",
  },
  too_many_redirects: {
    what: "The address leads from one address to the next, too often.",
    todo: "Open it in a browser, and submit the address where it ends.",
  },
  too_large: {
    what: "The photo is larger than this service accepts.",
    todo: "Make the file smaller, and submit it again.",
  },
  truncated: {
    what: "The file ends too early.",
    todo: "Upload the photo to its server again, then retry.",
  },
  damaged: {
    what: "The file is damaged.",
    todo: "Upload the photo to its server again, then retry.",
  },
  not_an_image: {
    what: "What is at this address is not a photo.",
    todo: "Open the address in a private window; often it shows a login or an error page.",
  },
  unsupported_format: {
    what: "The file has a format that is not measured.",
    todo: "Save the photo as JPEG or PNG, and submit it again.",
  },
  processing_error: {
    what: "The service failed at this photo.",
    todo: "Retry. If it fails again, report the job’s id.",
  },
};

const STATUSES = {
  401: ["the photo needs a login.", "Make the photo public, or submit an address that works without a login."],
  403: ["access to the photo is not allowed.", "Make the photo public, or submit an address that works without a login."],
  404: ["the photo is not at this address.", "Check the address, or upload the photo again."],
  410: ["the photo was deleted.", "Upload the photo again, and submit its new address."],
  429: ["it gets too many requests.", "Retry later."],
};

// Returns the sentences for a failure, and a key that is the same for failures of the same kind.
export function reason({ code, message }) {
  const known = REASONS[code] ?? { what: message, todo: "Read the message of the image." };
  const status = code === "http_status" ? message.match(/status (\d{3})/)?.[1] : undefined;
  if (!status) return { kind: code, ...known };
  const own = STATUSES[status] ?? (status >= "500" ? ["the server has a problem of its own.", "Retry when the server works again."] : null);
  if (!own) return { kind: `${code} ${status}`, what: `The server answered ${status}.`, todo: known.todo };
  return { kind: `${code} ${status}`, what: `The server answered ${status}: ${own[0]}`, todo: own[1] };
}

// What a refused request means for the person who made it, by its code.
export const REFUSALS = {
  invalid_request: "The service does not accept this.",
  body_too_large: "The file is too large for this service. Submit it in smaller files.",
  unsupported_encoding: "The service does not accept this.",
  missing_scope: "This API key is not allowed to do this.",
  route_not_found: "This service is older than the console. Reload the page.",
  job_not_found: "No such job. It may have expired, or belong to another client.",
  job_is_open: "A run of this job is under way. Wait until it has ended.",
  nothing_to_retry: "This job has no failed images.",
  retries_used_up: "This job was retried ten times. Download the rows to correct, and submit them as a new job.",
  retried_too_soon: "This job was retried less than a minute ago.",
  daily_limit_reached: "The daily limit of this API key is reached.",
  idempotency_mismatch: "This file was submitted within the last day, for example under another name, but its job is not found.",
  storage_unavailable: "The service is busy. Nothing was stored; try again in a moment.",
  internal_error: "The service has failed. Report the request id.",
};

export const STATUS = { ongoing: "Ongoing", completed: "Completed", failed: "Failed" };
export const OUTCOME = { measured: "Measured", failed: "Failed", pending: "Pending" };
