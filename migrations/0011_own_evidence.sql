-- Whether devices vouch for each other's way of counting; what runs already lets them.
UPDATE deployment SET params = params || '{"own_evidence": false}' WHERE params IS NOT NULL;
