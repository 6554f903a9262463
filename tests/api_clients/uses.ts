// A program that uses the generated types; test_typescript.py compiles it. It is never run.
import type { components, operations, paths } from "./api";

type Schemas = components["schemas"];
type Results = paths["/api/jobs/{job_id}/results"]["get"];
type Answers = Results["responses"];

// A job_id is a number or a text, whatever the client has at hand.
const byNumber: Results["parameters"]["path"] = { job_id: 244688486400005 };
const byText: Results["parameters"]["path"] = { job_id: "244688486400005" };
// @ts-expect-error
const byNothing: Results["parameters"]["path"] = {};

const submission: operations["submitJob"]["requestBody"]["content"]["application/json"] = {
  count: 1,
  visits: [{ store_id: "S00339218", image_url: ["https://cdn.example.com/1.jpg"], visit_time: "2026-11-23T09:30:00Z" }],
};

// The same type for the status of a job in every place.
function hasEnded(job: Schemas["JobDetails"] | Schemas["ListedJob"] | Schemas["StatusAnswer"]): boolean {
  const status: Schemas["JobStatus"] = job.status;
  return status !== "ongoing";
}
const query: operations["listJobs"]["parameters"]["query"] = { status: "completed", from: "2026-11-23", limit: 10 };
// @ts-expect-error
const unknownStatus: operations["listJobs"]["parameters"]["query"] = { status: "done" };

function perimeters(page: Answers[200]["content"]["application/json"]): number[] {
  return page.results.filter((row) => row.outcome === "measured").map((row) => row.perimeter ?? 0);
}

// One union for the body of every error status, whoever sent it.
type Errors = Answers[400 | 404]["content"]["application/problem+json"]
  | Answers[401 | 403 | 429 | 500 | 503]["content"]["application/json"];
function text(error: Errors): string {
  return "code" in error ? `${error.code}: ${error.detail}` : error.message;
}

type SubmissionErrors = operations["submitJob"]["responses"][400 | 401 | 403 | 413 | 429]["content"]["application/json"];
function problems(error: SubmissionErrors): string[] {
  if ("errors" in error) return error.errors.map(({ place, rule }) => `${place} ${rule}`);
  return ["error" in error ? error.error : error.message];
}

export { byNothing, byNumber, byText, hasEnded, perimeters, problems, query, submission, text, unknownStatus };
