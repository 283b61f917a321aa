"""Capture files in, trust out.

`captures` reads files, `aggregate` adds them up by hour, `drift` compares, `quality` joins with ground truth, `report` and
`dashboard` show; `function` does it every hour in Lambda. The rooms below hold the parts.
"""
