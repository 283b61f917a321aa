-- Captures into aggregates, for Athena (engine 3). Same numbers as monitoring/incremental/run.py, one row per histogram bin:
-- sum the rows of a label for its cell. {placeholders} are filled in by monitoring/athena.py.
-- Late files: path hours up to {margin} hours after the hours of inference are read too.
WITH
parsed AS (
  SELECT endpoint, variant, "$path" AS file, TRY(json_parse(line)) AS record
  FROM {table}
  WHERE endpoint = '{endpoint}' AND variant = '{variant}' AND hour BETWEEN '{first_path}' AND '{last_path}'
),
records AS (
  SELECT
    endpoint, variant, file,
    json_extract_scalar(record, '$.eventMetadata.eventId') AS event_id,
    substr(json_extract_scalar(record, '$.eventMetadata.inferenceTime'), 1, 13) || ':00:00Z' AS hour,
    coalesce(
      json_extract_scalar(record, '$.captureData.endpointOutput.data'),
      json_extract_scalar(record, '$.captureData.batchTransformOutput.data')
    ) AS data,
    coalesce(
      json_extract_scalar(record, '$.captureData.endpointOutput.encoding'),
      json_extract_scalar(record, '$.captureData.batchTransformOutput.encoding')
    ) AS encoding
  FROM parsed
  WHERE json_extract(record, '$.captureData') IS NOT NULL
),
numbered AS (
  SELECT *, row_number() OVER (PARTITION BY hour, event_id ORDER BY file) AS copy
  FROM records
  WHERE hour BETWEEN '{first_hour}' AND '{last_hour}'
),
texts AS (
  SELECT
    row_number() OVER () AS id, endpoint, variant, hour,
    CASE WHEN upper(encoding) = 'BASE64' THEN TRY(from_utf8(from_base64(data))) ELSE data END AS text
  FROM numbered
  WHERE copy = 1 OR event_id IS NULL
),
-- One response, or one per line (JSON lines, CSV).
response_rows AS (
  SELECT t.id, t.endpoint, t.variant, t.hour, r.number, r.response
  FROM texts AS t
  CROSS JOIN UNNEST(
    CASE WHEN TRY(json_parse(t.text)) IS NOT NULL THEN ARRAY[t.text] ELSE split(t.text, chr(10)) END
  ) WITH ORDINALITY AS r(response, number)
  WHERE trim(r.response) <> ''
),
responses AS (
  SELECT
    id, endpoint, variant, hour, number,
    coalesce(TRY(json_parse(response)), TRY(json_parse('[' || trim(response) || ']'))) AS value
  FROM response_rows
),
opened AS (
  SELECT id, endpoint, variant, hour, number, coalesce(json_extract(value, '$.SageMakerOutput'), value) AS value
  FROM responses
),
inner_values AS (
  SELECT
    id, endpoint, variant, hour, number,
    CASE
      WHEN json_extract(value, '$.probabilities') IS NOT NULL THEN value
      -- A number with a score is a class or a probability: ambiguous.
      WHEN TRY(CAST(json_extract_scalar(value, '$.prediction') AS DOUBLE)) IS NULL
        OR coalesce(
          json_extract(value, '$.score'), json_extract(value, '$.probability'), json_extract(value, '$.prob'),
          json_extract(value, '$.confidence')
        ) IS NULL
      THEN coalesce(
        json_extract(value, '$.predictions'), json_extract(value, '$.prediction'), json_extract(value, '$.outputs'), value
      )
    END AS value
  FROM opened
),
items AS (
  SELECT v.id, v.endpoint, v.variant, v.hour, v.number, i.position, i.item
  FROM inner_values AS v
  CROSS JOIN UNNEST(
    CASE
      WHEN TRY(CAST(v.value AS ARRAY(DOUBLE))) IS NULL THEN coalesce(TRY(CAST(v.value AS ARRAY(JSON))), ARRAY[v.value])
      ELSE ARRAY[v.value]
    END
  ) WITH ORDINALITY AS i(item, position)
),
read_items AS (
  SELECT
    id, endpoint, variant, hour, number, position,
    coalesce(
      TRY(CAST(json_extract(item, '$.probabilities') AS ARRAY(DOUBLE))),
      TRY(CAST(json_extract(item, '$.score') AS ARRAY(DOUBLE))),
      TRY(CAST(item AS ARRAY(DOUBLE)))
    ) AS vector,
    coalesce(TRY(CAST(json_extract_scalar(item, '$.score') AS DOUBLE)), TRY(CAST(item AS DOUBLE))) AS score,
    coalesce(
      json_extract_scalar(item, '$.predicted_label'), json_extract_scalar(item, '$.label'),
      json_extract_scalar(item, '$.class')
    ) AS named,
    TRY(CAST(json_extract(item, '$.labels') AS ARRAY(VARCHAR))) AS names,
    TRY(CAST(json_extract_scalar(item, '$.familiarity') AS DOUBLE)) AS familiarity,
    coalesce(json_extract_scalar(item, '$.model'), '') AS model
  FROM items
),
chosen AS (
  SELECT *, TRY(CAST(TRY(CAST(named AS DOUBLE)) AS BIGINT)) AS choice FROM read_items
),
-- A single score is that of class 1 of a binary model. With any other label it is that label's: no vector is known.
vectors AS (
  SELECT
    id, endpoint, variant, hour, number, position, choice, names, familiarity, model,
    CASE
      -- A 1 alone may be a class, or a softmax over one class.
      WHEN cardinality(vector) = 1 THEN CASE WHEN vector[1] < 1 THEN ARRAY[1 - vector[1], vector[1]] END
      WHEN vector IS NOT NULL THEN vector
      WHEN score IS NOT NULL AND (named IS NULL OR (choice IN (0, 1) AND {label_count} IN (0, 2)))
      THEN ARRAY[1 - score, score]
    END AS vector
  FROM chosen
),
unscaled AS (
  SELECT v.id, v.endpoint, v.variant, v.hour, v.number, v.position, v.choice, v.names, v.familiarity, v.model, c.class, c.raw
  FROM vectors AS v
  CROSS JOIN UNNEST(v.vector) WITH ORDINALITY AS c(raw, class)
),
measured AS (
  SELECT
    *, sum(raw) OVER response AS total, count(*) OVER response AS members,
    sum(CASE WHEN raw > 0 THEN 1 ELSE 0 END) OVER response AS above,
    max(abs(raw * 256 - round(raw * 256))) OVER response < 1e-3 AS of_256,
    max(abs(raw * 255 - round(raw * 255))) OVER response < 1e-3 AS of_255
  FROM unscaled
  WINDOW response AS (PARTITION BY id, number, position)
),
-- Multiples of 1/256 or 1/255, whose sum misses 1 by their rounding, are scaled to it.
classes AS (
  SELECT
    id, endpoint, variant, hour, number, position, choice, names, familiarity, model, class, raw,
    greatest(0.0e0, least(1.0e0, raw)) AS p,
    row_number() OVER (PARTITION BY id, number, position ORDER BY raw DESC, class) AS place
  FROM (
    SELECT
      id, endpoint, variant, hour, number, position, choice, names, familiarity, model, class,
      CASE
        WHEN abs(total - 1) > {tolerance} AND total > 0 AND (
          (of_256 AND total - 1 BETWEEN -members / 512.0e0 - 1e-9 AND above / 512.0e0 + 1e-9)
          OR (of_255 AND total - 1 BETWEEN -members / 510.0e0 - 1e-9 AND above / 510.0e0 + 1e-9)
        ) THEN raw / total
        ELSE raw
      END AS raw
    FROM measured
  )
),
predictions AS (
  SELECT
    endpoint, variant, hour,
    coalesce(max(choice) + 1, max(CASE WHEN place = 1 THEN class END)) AS class,
    count(*) AS classes,
    max(CASE WHEN class = coalesce(choice + 1, 0) OR (choice IS NULL AND place = 1) THEN p END) AS confidence,
    max(CASE WHEN place = 1 THEN p END) - max(CASE WHEN place = 2 THEN p END) AS margin,
    -sum(CASE WHEN p > 0 THEN p * ln(p) ELSE 0.0e0 END) / ln(count(*)) AS entropy,
    max(CASE WHEN familiarity BETWEEN 0 AND 1 THEN familiarity END) AS familiarity,
    max(names) AS names,
    max(model) AS model
  FROM classes
  GROUP BY endpoint, variant, hour, id, number, position
  HAVING min(raw) >= -{tolerance} AND max(raw) <= 1 + {tolerance} AND abs(sum(raw) - 1) <= {tolerance}
    AND (max(familiarity) IS NULL OR max(familiarity) BETWEEN 0 AND 1)
),
labelled AS (
  SELECT
    endpoint, variant, hour, model,
    CASE
      WHEN cardinality(names) = classes THEN element_at(names, class)
      WHEN {label_count} = classes THEN element_at({labels}, class)
      ELSE CAST(class - 1 AS VARCHAR)
    END AS label,
    CAST(floor(confidence * 1e9 + 0.5e0) AS BIGINT) AS confidence,
    CAST(floor(margin * 1e9 + 0.5e0) AS BIGINT) AS margin,
    CAST(floor(least(1.0e0, entropy) * 1e9 + 0.5e0) AS BIGINT) AS entropy,
    CAST(floor(familiarity * 1e9 + 0.5e0) AS BIGINT) AS familiarity
  FROM predictions
  -- Labels that do not fit make a response invalid.
  WHERE CASE WHEN cardinality(names) > 0 THEN cardinality(names) = classes ELSE {label_count} IN (0, classes) END
)
SELECT
  hour, endpoint, variant, label, model,
  CAST(least(999, floor(confidence / 1000000)) AS BIGINT) AS bin,
  count(*) AS count,
  sum(confidence) AS confidence,
  sum(margin) AS margin,
  sum(entropy) AS entropy,
  count(familiarity) AS familiar,
  coalesce(sum(familiarity), 0) AS familiarity
FROM labelled
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
