-- Planted or hand-made truth, where there is any: a concept per session and label field.
CREATE TABLE truth (
    bot_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    concept VARCHAR NOT NULL
);
